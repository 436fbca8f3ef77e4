"""Plans: settings of a run that follow from the images, the limits, the machine and the time."""
