"""Train, export, quantise and check the models that ShelfSight ships."""
