/** A mark of a plot, and how wide what stands beside it is; 0: nothing does. */
export interface Mark {
  readonly x: number
  readonly y: number
  readonly radius: number
  readonly width: number
}

export interface Place {
  readonly x: number
  readonly y: number
  readonly anchor: 'start' | 'end' | 'middle'
}

type Box = readonly [left: number, top: number, right: number, bottom: number]

/** Height of a label's letters. */
const RISE = 8

/** Where the label of each mark stands: beside it, where it covers least of marks and of labels before it. */
export function placeLabels(marks: readonly Mark[]): Place[] {
  const taken = marks.map(({ x, y, radius }): Box => [x - radius, y - radius, x + radius, y + radius])
  return marks.map((mark) => {
    const found = around(mark).map((place) => ({ place, box: boxOf(place, mark.width) }))
    const covered = found.map(({ box }) => taken.filter((each) => overlap(each, box)).length)
    const { place, box } = found[covered.indexOf(Math.min(...covered))]
    if (mark.width > 0) taken.push(box)
    return place
  })
}

/** The best places first. */
function around({ x, y, radius }: Mark): Place[] {
  const [aside, above, below] = [radius + 2, y - radius - 1, y + radius + RISE]
  return [
    { x: x + aside, y: above, anchor: 'start' },
    { x: x - aside, y: above, anchor: 'end' },
    { x: x + aside, y: below, anchor: 'start' },
    { x: x - aside, y: below, anchor: 'end' },
    { x, y: above - 2, anchor: 'middle' },
    { x, y: below + 2, anchor: 'middle' },
  ]
}

function boxOf({ x, y, anchor }: Place, width: number): Box {
  const left = x - { start: 0, middle: width / 2, end: width }[anchor]
  return [left, y - RISE, left + width, y]
}

const overlap = (a: Box, b: Box): boolean => a[0] < b[2] && b[0] < a[2] && a[1] < b[3] && b[1] < a[3]
