/** The beginning of a text, of at most so many UTF-16 code units; a character that takes two of them is not split. */
export function cutText(text: string, most: number): string {
  if (text.length <= most) return text
  const last = text.charCodeAt(most - 1)
  const isFirstOfTwo = last >= 0xd800 && last <= 0xdbff
  return text.slice(0, isFirstOfTwo ? most - 1 : most)
}
