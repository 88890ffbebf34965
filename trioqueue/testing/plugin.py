"""The pytest plugin of trioqueue. Imports nothing until a test asks for a fixture."""
