"""Users, organizations, projects and their API keys."""
