"""LAE: continual learning with any parameter-efficient tuning."""

__version__ = "0.1.0"
