"""Does a better score focus a microscope better? Focus curves and closed loops on the virtual microscope."""
