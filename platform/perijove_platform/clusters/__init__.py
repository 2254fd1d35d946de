"""Clusters: the places where jobs and models run."""
