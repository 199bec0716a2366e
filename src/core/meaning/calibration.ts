/** What came of asking for something of which the answer is known. */
export interface Outcome {
  /** Of the best answer, and its lead over the next. */
  score: number
  lead: number
  /** The best answer is the right one. */
  isRight: boolean
}

/** What a score means. */
export interface Calibration {
  /** Below it there is rather no answer than this one. */
  threshold: number
  /** Of the logistic function of score and lead, both in units of the threshold, that tells how likely the best answer is right: `[score, lead, constant]`. */
  coefficients: readonly [number, number, number]
}

/** Share of right requests that may be turned away. */
export const MAX_FALSE_REJECTS = 0.05
/** Outcomes below which their quantile says nothing. */
export const MIN_OUTCOMES = 40
/** Steps of Newton's method; it converges within ten. */
const STEPS = 25
/** Keeps coefficients finite where a line divides right and wrong. */
const RIDGE = 0.01

/** What the scores mean of which these came; undefined if there are too few. */
export function calibrate(outcomes: readonly Outcome[]): Calibration | undefined {
  if (outcomes.length < MIN_OUTCOMES) return undefined
  const sorted = outcomes.map(({ score }) => score).sort((a, b) => a - b)
  const threshold = sorted[Math.floor(sorted.length * MAX_FALSE_REJECTS)]!
  if (!(threshold > 0)) return undefined
  const rows = outcomes.map(({ score, lead }) => [score / threshold, lead / threshold, 1])
  return {
    threshold,
    coefficients: fitLogistic(
      rows,
      outcomes.map(({ isRight }) => (isRight ? 1 : 0))
    )
  }
}

/** How likely the best answer is right. @param score, lead in units of the threshold. */
export function likelihood({ coefficients: [a, b, c] }: Calibration, score: number, lead: number): number {
  return sigmoid(a * score + b * lead + c)
}

const sigmoid = (x: number): number => 1 / (1 + Math.exp(-x))

/** Logistic regression by iteratively reweighted least squares (McCullagh and Nelder 1989), with a small ridge. */
function fitLogistic(rows: readonly number[][], labels: readonly number[]): [number, number, number] {
  const fitted: [number, number, number] = [0, 0, 0]
  for (let step = 0; step < STEPS; step++) {
    const gradient = fitted.map((value) => -RIDGE * value)
    const hessian = fitted.map((_, i) => fitted.map((__, j) => (i === j ? RIDGE : 0)))
    rows.forEach((row, n) => {
      const p = sigmoid(dot(row, fitted))
      for (let i = 0; i < 3; i++) {
        gradient[i]! += row[i]! * (labels[n]! - p)
        for (let j = 0; j < 3; j++) hessian[i]![j]! += row[i]! * row[j]! * p * (1 - p)
      }
    })
    solve(hessian, gradient).forEach((change, i) => (fitted[i]! += change))
  }
  return fitted
}

function dot(a: readonly number[], b: readonly number[]): number {
  return a.reduce((sum, value, n) => sum + value * b[n]!, 0)
}

/** Gaussian elimination; the matrix is symmetric and positive, so that no pivot is zero. */
function solve(matrix: number[][], right: number[]): number[] {
  const size = right.length
  for (let pivot = 0; pivot < size; pivot++) {
    for (let row = pivot + 1; row < size; row++) {
      const factor = matrix[row]![pivot]! / matrix[pivot]![pivot]!
      for (let column = pivot; column < size; column++) matrix[row]![column]! -= factor * matrix[pivot]![column]!
      right[row]! -= factor * right[pivot]!
    }
  }
  const result = new Array<number>(size).fill(0)
  for (let row = size - 1; row >= 0; row--) {
    const known = dot(matrix[row]!.slice(row + 1), result.slice(row + 1))
    result[row] = (right[row]! - known) / matrix[row]![row]!
  }
  return result
}
