"""The web application: files are dropped on a page, solved by worker processes, and shown with the report's own views."""
