// What a review may contain, how its list entry is made, and how Sluice says no to a review. Nothing is cut: what is too long for a
// person to read is refused.
import { SluiceError } from '../core/errors.ts'
import type { ReviewRequest } from '../core/review.ts'

export const REVIEW_TEXT_BYTES_MAX = 1_048_576
export const REVIEW_PARAMETERS_MAX = 65_535
export const REVIEW_COMMENT_CHARACTERS_MAX = 2_000
export const REVIEW_SUMMARY_CHARACTERS = 300

export type ReviewRefusal = 'too-many' | 'too-large' | 'no-such-review' | 'not-yours' | 'not-waiting' | 'not-approved' | 'expired' | 'changed' | 'reviewer-left'
/** The text is for whoever asked: requester or reviewer. */
export class ReviewRefused extends SluiceError {
  readonly refusal: ReviewRefusal
  constructor(refusal: ReviewRefusal, message: string) {
    super('REVIEW_REFUSED', message)
    this.refusal = refusal
  }
}

export function summaryOf(text: string): [string, number, number] {
  let lines = 1
  for (let at = text.indexOf('\n'); at >= 0; at = text.indexOf('\n', at + 1)) lines++
  return [JSON.stringify(text.slice(0, REVIEW_SUMMARY_CHARACTERS)), lines, [...text].length]
}

export function checkedText(request: ReviewRequest): string {
  if (request.parameters.length > REVIEW_PARAMETERS_MAX) throw tooLarge()
  const shown = JSON.stringify({ text: request.text, parameters: request.parameters })
  if (Buffer.byteLength(shown) > REVIEW_TEXT_BYTES_MAX) throw tooLarge()
  return shown
}
const tooLarge = () => new ReviewRefused('too-large', `what a person must read may have at most ${REVIEW_TEXT_BYTES_MAX} bytes`)

export function checkedComment(comment: string | null): string | null {
  if (comment === null || comment.trim() === '') return null
  if (comment.length > REVIEW_COMMENT_CHARACTERS_MAX || comment.includes('\0'))
    throw new ReviewRefused('too-large', `a comment may have at most ${REVIEW_COMMENT_CHARACTERS_MAX} characters`)
  return comment
}
