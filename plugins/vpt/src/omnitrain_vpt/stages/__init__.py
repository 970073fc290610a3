"""Recording, labelling, cleaning and fine-tuning."""
