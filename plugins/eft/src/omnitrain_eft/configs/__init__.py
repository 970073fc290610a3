"""Settings of the components, a module for each kind. Light: pydantic, omnitrain.api and the configs of language."""
