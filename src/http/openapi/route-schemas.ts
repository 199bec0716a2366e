/** What the routes answer that are about ways, and the choice among providers. */
import { HOPS, NODE_ID } from './mesh-schemas.ts'
import { count, flag, list, number, object, oneOf, orNull, ref, text, type Schema } from './schema.ts'

const way = {
  node: NODE_ID,
  nodeName: text(),
  direct: flag('A session with it is open: nobody is between.'),
  via: orNull(text('PeerId of the next hop. Null: it is direct, or no way is known now.')),
  hops: HOPS,
  metricMs: orNull(number('What the way costs, in ms.'))
}

const Routes = object({
  nodes: list(
    object({
      ...way,
      viaName: orNull(text()),
      held: flag('The next hop got worse; it is kept while a newer way is asked for.'),
      avoided: flag('Calls that went this way did not come back: used only if there is no other.'),
      sequence: orNull(object({ incarnation: number(), sequence: number() }))
    })
  ),
  types: list(
    object({
      type: text(),
      providers: list(
        object({ ...way, avoided: flag(), capability: text(), status: text(), local: flag(), ageMs: number() }),
        'The nearest first, at most 8.'
      )
    })
  )
})

const { metricMs: _metric, ...shortWay } = way
const Explanation = object({
  target: text(),
  tool: text(),
  candidates: list(
    object({
      ...shortWay,
      avoided: flag(),
      capability: text(),
      tool: text(),
      local: flag(),
      status: text(),
      place: orNull(count('1 would be called first. Null: it would not be tried.')),
      why: text(),
      reason: text('In words.'),
      rttMs: orNull(number()),
      waitMs: orNull(number()),
      serviceMs: orNull(number()),
      etaMs: orNull(number()),
      costMs: number(),
      score: number('The lowest goes first.'),
      running: number(),
      outstanding: number(),
      slots: number(),
      heardMs: orNull(number())
    })
  ),
  'meaning?': ref('Understanding')
})

const Understanding = object({
  text: text('What was asked, the first 256 characters of it.'),
  characters: count('How many it has in all.'),
  outcome: oneOf(['one', 'ambiguous', 'none']),
  matches: list(
    object({
      capability: text(),
      type: text(),
      name: text(),
      description: orNull(text()),
      score: number('Below 1 it is not near enough.'),
      nodes: list(text()),
      'examplesBy?': oneOf(['model'], 'Its examples were written by a model: it has none of its own.')
    }),
    'The best first.'
  ),
  likelihood: number('How likely the first is what is meant, from 0 to 1.'),
  by: object({
    path: oneOf(['words', 'both'], '`both`: by words and vectors.'),
    model: orNull(text('Of the vectors.')),
    reason: text('Why it was by these.')
  })
})

const MeaningExample = object({
  capability: text(),
  type: text(),
  text: text(),
  by: oneOf(['person', 'model'], 'Who says so: somebody who has confirmed it, or a model that has written it.'),
  'node?': text('PeerId of the node whose model has written it.'),
  'nodeName?': text('Its name.')
})

/** By their names. */
export const ROUTE_SCHEMAS: Record<string, Schema> = { Routes, Explanation, Understanding, MeaningExample }
