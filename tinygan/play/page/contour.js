// Where a field of numbers on a grid takes a value: marching squares.

/** Return the segments [x0, y0, x1, y1] of the line field = level. field: n x n values, x slowest; x and y from 0 to n - 1. */
export function contour(field, n, level) {
  const segments = [];
  for (let i = 0; i + 1 < n; i++) {
    for (let j = 0; j + 1 < n; j++) {
      const corners = [[i, j], [i + 1, j], [i + 1, j + 1], [i, j + 1]];
      const values = corners.map(([a, b]) => field[a * n + b] - level);
      const crossings = [];
      for (let k = 0; k < 4; k++) {
        const a = values[k], b = values[(k + 1) % 4];
        if ((a < 0) !== (b < 0)) {
          const t = a / (a - b), p = corners[k], q = corners[(k + 1) % 4];
          crossings.push([p[0] + t * (q[0] - p[0]), p[1] + t * (q[1] - p[1])]);
        }
      }
      for (let k = 0; k + 1 < crossings.length; k += 2) segments.push([...crossings[k], ...crossings[k + 1]]);
    }
  }
  return segments;
}
