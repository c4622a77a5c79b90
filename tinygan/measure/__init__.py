"""Measures of a game: distances between densities, D at its optimum, quality of samples, alarms, reports, pictures."""
