// Return the number between `low` and `high` that is nearest to a value.
export function clamp(value, low, high) {
  return Math.min(Math.max(value, low), high);
}
