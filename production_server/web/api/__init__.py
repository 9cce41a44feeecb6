"""The JSON API: jobs, their results, models, health, and the OpenAPI document that describes them."""
