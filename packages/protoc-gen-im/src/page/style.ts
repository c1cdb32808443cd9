// How the page looks: light and dark by the reader's system, one column on a phone.

export const style: string = `
:root {
  color-scheme: light dark;
  --back: #ffffff; --side: #f6f7f9; --text: #1c2230; --soft: #5a6376; --line: #e2e6ed; --accent: #3451d1; --mark: #eef1fd;
  --code: #101624; --code-text: #dbe2f1; --code-soft: #8f9ab3; --key: #9ecbff; --string: #a8e0b4; --number: #f5c48a;
  --get: #1a6fc4; --post: #15803d; --put: #a15c07; --patch: #7a3fc1; --delete: #c02626;
}
@media (prefers-color-scheme: dark) {
  :root {
    --back: #11151d; --side: #161b25; --text: #e4e9f3; --soft: #9aa5bb; --line: #283040; --accent: #93a8ff; --mark: #1d2540;
    --code: #0a0d13; --get: #6cb2f5; --post: #63cf8c; --put: #f0b45c; --patch: #c19cf5; --delete: #f58b8b;
  }
}
* { box-sizing: border-box; }
html { scroll-padding-top: 1rem; }
body { margin: 0; background: var(--back); color: var(--text); font: 0.95rem/1.55 system-ui, "Segoe UI", Roboto, "Helvetica Neue", sans-serif; }
a { color: var(--accent); text-decoration: none; }
a:hover { text-decoration: underline; }
:focus-visible { outline: 2px solid var(--accent); outline-offset: 2px; border-radius: 3px; }
main:focus { outline: none; }
[hidden] { display: none !important; }
code, pre, kbd { font: 0.875em/1.5 ui-monospace, "SF Mono", Menlo, Consolas, "Liberation Mono", monospace; }
.skip { position: absolute; left: -100rem; }
.skip:focus { left: 1rem; top: 1rem; z-index: 2; background: var(--back); padding: 0.5rem 1rem; }

aside { background: var(--side); border-bottom: 1px solid var(--line); padding: 1rem 1.25rem; }
aside header { margin-bottom: 0.8rem; }
aside header strong, aside header span { display: block; }
aside header strong { font-size: 1.15rem; letter-spacing: -0.01em; }
aside header span { color: var(--soft); font-size: 0.8rem; }
search { display: block; position: relative; margin-bottom: 0.6rem; }
search label { position: absolute; left: -100rem; }
search input { width: 100%; padding: 0.5rem 0.7rem; border: 1px solid var(--line); border-radius: 8px; background: var(--back); color: inherit; font: inherit; }
search output { display: block; min-height: 1.2rem; color: var(--soft); font-size: 0.75rem; padding: 0.15rem 0.2rem; }
summary { cursor: pointer; color: var(--soft); }
nav h2 { font-size: 0.7rem; letter-spacing: 0.08em; text-transform: uppercase; color: var(--accent); margin: 1.4rem 0 0.2rem; }
nav h3 { font-size: 0.82rem; margin: 0.9rem 0 0.2rem; }
nav ul { list-style: none; margin: 0; padding: 0; }
nav a { display: flex; align-items: center; gap: 0.5rem; padding: 0.16rem 0.5rem; border-radius: 6px; color: var(--soft); font-size: 0.85rem; }
nav a span:last-child { overflow: hidden; text-overflow: ellipsis; white-space: nowrap; }
nav a:hover { background: var(--mark); color: var(--text); text-decoration: none; }
nav a[aria-current] { background: var(--mark); color: var(--text); font-weight: 600; }
nav .badge { min-width: 2.9rem; padding: 0; border: 0; font-size: 0.62rem; text-align: left; background: none; }

main { padding: 1.5rem 1.25rem 4rem; min-width: 0; }
h1 { font-size: 1.9rem; letter-spacing: -0.02em; line-height: 1.2; margin: 0.4rem 0 0.4rem; }
.documents { color: var(--soft); margin-top: 0; }
.doors { display: grid; grid-template-columns: repeat(auto-fit, minmax(13rem, 1fr)); gap: 1rem; margin: 1.4rem 0 0; }
.doors a { display: block; padding: 1rem 1.2rem; border: 1px solid var(--line); border-radius: 12px; background: var(--side); color: var(--soft); font-size: 0.87rem; }
.doors a:hover { border-color: var(--accent); text-decoration: none; }
.doors strong { display: block; color: var(--text); font-size: 1.05rem; }
.part > h2 { font-size: 1.5rem; letter-spacing: -0.015em; margin: 2.5rem 0 0.5rem; }
.intro { max-width: 46rem; color: var(--soft); }
.chapter > h3 { font-size: 1.15rem; margin: 2.6rem 0 0; padding-bottom: 0.4rem; border-bottom: 2px solid var(--line); }
.chapter > p { max-width: 46rem; color: var(--soft); }
main section { padding: 1.6rem 0; border-bottom: 1px solid var(--line); }
main section h3 { margin: 0 0 0.3rem; font-size: 1.05rem; }
main section h3 a { color: inherit; }
main section:target h3 a { color: var(--accent); }
.route { margin: 0 0 0.7rem; display: flex; flex-wrap: wrap; align-items: center; gap: 0.6rem; }
.route:empty { display: none; }
.path { font-size: 0.9rem; overflow-wrap: anywhere; }
.path var { font-style: normal; color: var(--accent); }
.badge { font: 700 0.7rem/1.6 ui-monospace, Menlo, Consolas, "Liberation Mono", monospace; padding: 0 0.5rem; border: 1px solid currentColor; border-radius: 5px; color: var(--soft); }
.badge.get, .badge.down { color: var(--get); } .badge.post, .badge.up { color: var(--post); } .badge.put, .badge.topic { color: var(--put); }
.badge.patch { color: var(--patch); } .badge.delete { color: var(--delete); }
.facts { display: flex; flex-wrap: wrap; gap: 0.4rem; margin: 0 0 0.6rem; }
.facts span { font-size: 0.74rem; color: var(--soft); background: var(--side); border: 1px solid var(--line); border-radius: 99px; padding: 0 0.6rem; }
h4 { font-size: 0.75rem; letter-spacing: 0.05em; text-transform: uppercase; color: var(--soft); margin: 1.2rem 0 0.3rem; }
.prose p { margin: 0.4rem 0; }
.prose p code, .intro code, td code { background: var(--mark); padding: 0.05rem 0.3rem; border-radius: 4px; }
.table { overflow-x: auto; }
table { border-collapse: collapse; width: 100%; font-size: 0.87rem; }
th, td { text-align: left; vertical-align: top; padding: 0.4rem 0.9rem 0.4rem 0; border-top: 1px solid var(--line); }
thead th { font-size: 0.72rem; color: var(--soft); font-weight: 600; border: 0; padding-bottom: 0.15rem; }
tbody th { font-weight: 500; }
.table th:nth-child(1) { width: 32%; } .table th:nth-child(2) { width: 24%; }
td:nth-child(2) { color: var(--soft); }
.table.two th:nth-child(1) { width: 6rem; } .table.two th:nth-child(2) { width: auto; } .two td:nth-child(2) { color: inherit; }
td:nth-child(3) { min-width: 7rem; }
tbody th code { overflow-wrap: anywhere; }
.required { font-size: 0.68rem; color: var(--delete); margin-left: 0.3rem; }
.rules { color: var(--soft); }
details { margin-top: 0.9rem; }
.prose summary { font-size: 0.85rem; }
figure { margin: 0 0 0.8rem; background: var(--code); color: var(--code-text); border-radius: 10px; overflow: hidden; border: 1px solid var(--line); }
figcaption { padding: 0.4rem 0.9rem; font-size: 0.72rem; color: var(--code-soft); border-bottom: 1px solid #ffffff14; }
pre { margin: 0; padding: 0.8rem 0.9rem; overflow: auto; max-height: 28rem; white-space: pre-wrap; overflow-wrap: anywhere; }
pre b { font-weight: 400; color: var(--key); } pre em { font-style: normal; color: var(--string); } pre i { font-style: normal; color: var(--number); }
.code { margin-top: 1rem; min-width: 0; }
.prose { min-width: 0; }

@media (min-width: 60rem) {
  body { display: grid; grid-template-columns: 18.5rem minmax(0, 1fr); }
  aside { position: sticky; top: 0; height: 100vh; overflow-y: auto; border-right: 1px solid var(--line); border-bottom: 0; }
  search { position: sticky; top: -1rem; background: var(--side); padding-top: 1rem; margin-top: -1rem; z-index: 1; }
  #menu > summary { display: none; }
  #menu { margin: 0; }
  main { padding: 1.5rem 2.5rem 6rem; max-width: 88rem; }
}
@media (min-width: 78rem) {
  .columns { display: grid; grid-template-columns: minmax(0, 1fr); gap: 2.5rem; }
  .wide .columns { grid-template-columns: minmax(0, 1fr) minmax(0, 29rem); }
  .code { margin-top: 0; }
}
`;
