import { MeshError } from './errors.ts'
import type { Hook, Hooks } from './mesh-api-hooks.ts'

/** No hooks yet. */
export function createHooks(): Hooks {
  const hooks = new Map<string, Hook>()
  return {
    add(name, hook) {
      if (hooks.has(name)) throw new MeshError('conflict', `there is a hook "${name}" already; rename one`, { name })
      hooks.set(name, hook)
      return () => {
        if (hooks.get(name) === hook) hooks.delete(name)
      }
    },
    find: (name) => hooks.get(name)
  }
}
