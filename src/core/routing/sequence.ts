/**
 * Sequence numbers of origins: an incarnation, which counts the starts of a node, and a counter within it. Compared in this order.
 * Only the origin makes new ones.
 */
export interface SequenceNumber {
  incarnation: number
  sequence: number
}

/** Over 0 if (incarnation, sequence) is newer than (incarnation2, sequence2), under 0 if older. Flat, since it runs for each row. */
export function compareSequence(incarnation: number, sequence: number, incarnation2: number, sequence2: number): number {
  return incarnation - incarnation2 || sequence - sequence2
}
