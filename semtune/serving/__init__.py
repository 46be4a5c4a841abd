"""The champion behind HTTP: for programs of the microscope that cannot run Python."""
