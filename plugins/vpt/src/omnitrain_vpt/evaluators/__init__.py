"""How well actions are told, predicted and played."""
