import type { Pictures } from './pictures.ts'
import type { TableResult } from './result.ts'
import { markdown } from './text.ts'

export async function tablePage(result: TableResult, pictures: Pictures): Promise<string> {
  await pictures.find({ scheduler: '', guidance: 1, kind: '', index: 0, method: '', steps: 1 })
  return markdown(result)
}
