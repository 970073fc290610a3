"""Exams: their files as questions, and how they are asked and scored."""
