"""Settings of all components, by kind. Light: imports only omnitrain.api and pydantic."""
