"""Text about facts, dialogues with replies in parts, and preferences; built in, or from files."""
