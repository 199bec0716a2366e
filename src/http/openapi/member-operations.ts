/** Routes of members and treaties. */
import { ROLES } from '../../../protocols/member/messages.ts'
import { answers, json, type Operation } from './operation.ts'
import { flag, list, number, object, oneOf, ref, text } from './schema.ts'

const invite = json(
  object({
    'role?': oneOf(ROLES, 'Default: member.'),
    'forward?': flag('The right to pass on what others send to each other.'),
    'tags?': list(text(), 'What the node is besides, for policies.')
  }),
  { role: 'member' }
)
const code = json(object({ code: text('Of a treaty.') }))

/** See {@link Operation}. */
export const MEMBER_OPERATIONS: readonly Operation[] = [
  {
    method: 'get',
    path: '/mesh/members',
    tag: 'members',
    summary: 'Members, as far as this node knows them',
    answers: answers(object({ mesh: ref('Mesh'), members: list(ref('Member')) }))
  },
  {
    method: 'post',
    path: '/mesh/invites',
    tag: 'members',
    summary: 'Let one node in, with a code',
    body: invite,
    answers: answers(ref('Invite'), 'Good for ten minutes.', 201),
    errors: [400, 429, 501]
  },
  {
    method: 'post',
    path: '/mesh/door',
    tag: 'members',
    summary: 'Let one node nearby in: it asks, and you say yes',
    body: invite,
    answers: answers(ref('Door'), 'Open for ten minutes.', 201),
    errors: [400, 501]
  },
  {
    method: 'post',
    path: '/mesh/revocations',
    tag: 'members',
    summary: 'End the membership of a node, everywhere and at once',
    body: json(object({ node: text('PeerId or name.'), 'reason?': text() }), { node: 'old-laptop', reason: 'lost' }),
    answers: answers(ref('Revocation'), 'Done.', 201),
    errors: [400, 409, 503]
  },
  {
    method: 'post',
    path: '/mesh/rotations',
    tag: 'members',
    summary: 'Replace the key of the mesh',
    body: json(object({}), {}),
    answers: answers(ref('Rotation'), 'Done.', 201),
    errors: [400, 413, 429, 501, 503]
  },
  {
    method: 'get',
    path: '/mesh/approvals',
    tag: 'members',
    summary: 'What waits for your yes',
    answers: answers(object({ approvals: list(ref('Approval')) }))
  },
  {
    method: 'get',
    path: '/mesh/approvals/{id}',
    tag: 'members',
    summary: 'One of these, with its whole input',
    parameters: { id: 'Of what waits.' },
    answers: answers(ref('Approval')),
    errors: [404]
  },
  {
    method: 'post',
    path: '/mesh/approvals/{id}',
    tag: 'members',
    summary: 'Say yes or no',
    parameters: { id: 'Of what waits.' },
    body: json(
      object({ allow: flag(), 'forMs?': number('The same caller may run the same tool for so long without a question.') }),
      { allow: true }
    ),
    answers: answers(ref('Approval')),
    errors: [400, 404]
  },
  {
    method: 'post',
    path: '/mesh/descriptors/accept',
    tag: 'members',
    summary: 'Accept what a capability says of itself now',
    body: json(object({ node: text('PeerId or name.'), capability: text(), 'hash?': text('Of the one that was looked at.') })),
    answers: answers(ref('AcceptedDescriptor')),
    errors: [400, 404, 409, 503]
  },
  {
    method: 'get',
    path: '/mesh/treaties',
    tag: 'treaties',
    summary: 'Treaties whose time is not over',
    answers: answers(object({ mesh: ref('Mesh'), treaties: list(ref('Treaty')) })),
    errors: [501]
  },
  {
    method: 'post',
    path: '/mesh/treaties',
    tag: 'treaties',
    summary: 'Accept a treaty',
    body: code,
    answers: answers(ref('TreatyCode'), 'Signed, or taken in.', 201),
    errors: [400, 413, 501, 503]
  },
  {
    method: 'post',
    path: '/mesh/treaties/show',
    tag: 'treaties',
    summary: 'What a code holds; nothing is signed',
    body: code,
    answers: answers(object({ treaty: ref('Treaty'), signs: flag('Accepting it signs for this mesh.') })),
    errors: [400, 501]
  },
  {
    method: 'post',
    path: '/mesh/treaties/offers',
    tag: 'treaties',
    summary: 'Offer a treaty to another mesh',
    body: json(
      object({
        mesh: text('Id of the other mesh.'),
        'name?': text('What it is called here.'),
        'lends?': list(text(), 'Globs over types.'),
        'borrows?': list(text(), 'Globs over types.'),
        'forMs?': number('Up to 365 days. Default: 90 days.')
      })
    ),
    answers: answers(ref('TreatyCode'), 'Signed by this mesh.', 201),
    errors: [400, 501]
  },
  {
    method: 'post',
    path: '/mesh/treaties/revocations',
    tag: 'treaties',
    summary: 'End a treaty at once',
    body: json(object({ treaty: text('Serial number, or name of the other mesh.'), 'reason?': text() })),
    answers: answers(ref('Treaty'), 'Revoked.', 201),
    errors: [400, 409, 501, 503]
  }
]
