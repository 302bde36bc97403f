/** Work with settings in the environment, which are taken away after it. */
export async function during<T>(settings: Readonly<Record<string, string>>, work: () => Promise<T>): Promise<T> {
  Object.assign(process.env, settings)
  try {
    return await work()
  } finally {
    for (const name of Object.keys(settings)) Reflect.deleteProperty(process.env, name)
  }
}
