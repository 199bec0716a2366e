/** Of the page; in the page itself, so that it is one request, and nothing is loaded from anywhere. */
export const PAGE_STYLE = `
:root { color-scheme: light dark; --line: light-dark(#d9dde3, #343b45); --soft: light-dark(#f5f6f8, #1b2027); --dim: light-dark(#545d69, #a3adba);
  --link: light-dark(#0a58ca, #7db2ff); --get: light-dark(#0b6b3a, #6fd39a); --post: light-dark(#0a4fb5, #8ab8ff); --delete: light-dark(#a51d2d, #ff9aa5) }
* { box-sizing: border-box }
body { margin: 0; font: 16px/1.55 system-ui, sans-serif; background: light-dark(#fff, #12161b); color: light-dark(#1a1f26, #e6e9ee);
  display: grid; grid-template-columns: 15rem minmax(0, 1fr) }
nav { position: sticky; top: 0; height: 100vh; overflow: auto; padding: 1.5rem 1rem; border-right: 1px solid var(--line); font-size: .9rem }
nav ul { list-style: none; margin: 0; padding: 0 } nav a { display: block; padding: .2rem 0; text-decoration: none }
main { padding: 1.5rem 2rem 4rem; max-width: 62rem } h1 { margin: 0 0 .25rem; font-size: 1.6rem }
h2 { margin: 2.5rem 0 .25rem; padding-top: .5rem; font-size: 1.25rem; text-transform: capitalize }
h3 { margin: 1rem 0 .35rem; font-size: .85rem; color: var(--dim); font-weight: 600 } p { margin: .35rem 0 } .dim { color: var(--dim) }
a { color: var(--link) } code, pre { font: .86rem/1.5 ui-monospace, SFMono-Regular, Menlo, Consolas, monospace }
pre { margin: .35rem 0; padding: .7rem .85rem; background: var(--soft); border: 1px solid var(--line); border-radius: 6px; overflow: auto; white-space: pre-wrap; overflow-wrap: anywhere }
details { border: 1px solid var(--line); border-radius: 8px; margin: .5rem 0; scroll-margin-top: 1rem } details > div { padding: .25rem 1rem 1rem; border-top: 1px solid var(--line) }
summary { cursor: pointer; padding: .55rem .85rem; display: flex; flex-wrap: wrap; gap: .25rem .75rem; align-items: baseline }
summary:focus-visible, a:focus-visible { outline: 2px solid var(--link); outline-offset: 2px; border-radius: 8px }
summary code { overflow-wrap: anywhere } summary .what { color: var(--dim); font-size: .92rem }
.method { font-weight: 700; min-width: 4.2rem; text-transform: uppercase } .get { color: var(--get) } .post { color: var(--post) } .delete { color: var(--delete) }
table { border-collapse: collapse; width: 100%; font-size: .92rem } td { border-top: 1px solid var(--line); padding: .35rem .75rem .35rem 0; vertical-align: top; overflow-wrap: anywhere }
td:first-child { width: 12rem; padding-left: 0 } tr:first-child td { border-top: 0 }
@media (max-width: 48rem) { body { display: block } nav { position: static; height: auto; border-right: 0; border-bottom: 1px solid var(--line); padding: 1rem }
  nav ul { display: flex; flex-wrap: wrap; gap: 0 1rem } main { padding: 1rem } td:first-child { width: 8.5rem } }
`
