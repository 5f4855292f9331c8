"""Recipes, found by their path without .yaml."""
