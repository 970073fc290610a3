"""What an encoder is worth downstream, frozen or fine-tuned."""
