"""Blind listening tests: a page that anyone can host, and the analysis of what listeners say."""
