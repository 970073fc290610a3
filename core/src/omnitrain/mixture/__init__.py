"""Several data as one: `core/mixture`. Which member each turn of training is of is a function of the seed and the step."""
