"""Settings of components, by kind; nothing here is heavier than pydantic."""
