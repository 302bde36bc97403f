/** Writes bench/sada-bench.schema.json from ts/bench/result.ts: `npx tsx scripts/bench-schema.ts`. A test compares them. */
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { toJsonSchema } from '@valibot/to-json-schema'
import { benchResult } from '../ts/bench/result.ts'

export function benchSchema(): string {
  const schema = {
    $schema: 'http://json-schema.org/draft-07/schema#',
    title: 'Result of sada-bench',
    ...toJsonSchema(benchResult),
  }
  return JSON.stringify(schema, undefined, 2) + '\n'
}

export const SCHEMA_FILE = join(__dirname, '..', 'bench', 'sada-bench.schema.json')

if (require.main === module) writeFileSync(SCHEMA_FILE, benchSchema())
