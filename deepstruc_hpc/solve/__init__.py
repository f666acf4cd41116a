"""Stage 3: measured PDFs to structures."""
