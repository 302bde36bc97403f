/** Characters that a terminal, a table or a reader would act on instead of showing them, and halves of surrogate pairs. */
const UNSEEN = /[\p{Cc}\p{Zl}\p{Zp}\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069\p{Cs}]/gu

/** Text of others (prompts, names from files) on one line: spaces for line feeds and tabs, `�` for what else would not show. */
export const visible = (text: string): string => text.replace(/\r\n|[\t\n\r]/g, ' ').replace(UNSEEN, '\ufffd')
