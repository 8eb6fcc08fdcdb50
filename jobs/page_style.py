"""The style sheet of the report."""

STYLE = """
:root { --ink:#1d2a26; --soft:#5d6b66; --line:#dfe5e1; --ground:#f6f8f6; --leaf:#2e7d5a; }
* { box-sizing:border-box; }
body { margin:0; background:var(--ground); color:var(--ink);
  font:15px/1.5 system-ui,-apple-system,"Segoe UI",Roboto,"Helvetica Neue",sans-serif; }
main { max-width:1240px; margin:0 auto; padding:32px 24px 64px; }
header h1 { font-size:30px; line-height:1.2; margin:0 0 6px; letter-spacing:-.01em; }
.lead { color:var(--soft); font-size:17px; margin:0 0 22px; max-width:70ch; }
section { background:#fff; border:1px solid var(--line); border-radius:12px; padding:20px 24px;
  margin:0 0 20px; overflow-x:auto; }
section h2 { font-size:20px; margin:0 0 6px; }
section h3 { font-size:15px; margin:14px 0 2px; }
section p { margin:4px 0 12px; max-width:90ch; }
.cards { display:grid; grid-template-columns:repeat(auto-fit,minmax(165px,1fr)); gap:14px;
  background:none; border:0; padding:0; }
.card { background:#fff; border:1px solid var(--line); border-top:4px solid var(--leaf);
  border-radius:10px; padding:14px 16px; }
.card .value { font-size:27px; font-weight:650; letter-spacing:-.02em; }
.card .label { font-weight:600; }
.detail { color:var(--soft); font-size:13px; font-weight:400; }
.commands { list-style:none; margin:8px 0 0; padding:0; }
.commands li { display:grid; grid-template-columns:minmax(0,1.5fr) 1fr; gap:4px 18px;
  padding:7px 0; border-top:1px solid var(--line); align-items:center; }
.commands span { color:var(--soft); }
code { background:#10231c; color:#d9f2e4; border-radius:6px; padding:5px 10px; display:block;
  font:13px/1.5 ui-monospace,SFMono-Regular,Menlo,Consolas,monospace; white-space:pre-wrap;
  overflow-wrap:anywhere; }
table { border-collapse:collapse; }
.months { width:100%; table-layout:fixed; }
.months th { text-align:left; vertical-align:top; font-size:13px; padding:4px 6px 4px 0; }
.months tbody th { width:120px; font-size:16px; }
.months tbody th .detail { display:block; margin-top:4px; }
.months thead th { color:var(--soft); font-weight:600; }
.months thead th:first-child { width:120px; }
.months td { padding:3px; }
.months img, .pictures img { width:100%; display:block; border-radius:5px; image-rendering:auto; }
.wide { width:100%; display:block; }
.scenes { display:grid; grid-template-columns:repeat(auto-fill,minmax(540px,1fr)); gap:14px 22px; }
.scene { border-top:1px solid var(--line); padding-top:2px; min-width:0; }
.scene h3 { margin:8px 0 0; }
.scene .detail { margin:0 0 6px; }
.note { background:#fdf0d5; color:#7a4f01; border-radius:20px; padding:1px 10px; margin-left:8px;
  font-size:12px; font-weight:600; }
.pictures { display:grid; grid-template-columns:repeat(4,1fr); gap:6px; }
figure { margin:0; } figcaption { color:var(--soft); font-size:12px; text-align:center; }
.legend { color:var(--soft); font-size:13px; }
.legend b { color:var(--ink); margin:0 6px 0 0; }
.legend b:not(:first-child) { margin-left:18px; }
.key { margin-right:12px; white-space:nowrap; }
.key i { display:inline-block; width:13px; height:13px; border-radius:3px; margin-right:5px;
  vertical-align:-2px; border:1px solid rgba(0,0,0,.15); }
.ramp { display:inline-block; width:90px; height:11px; border-radius:3px; vertical-align:-1px; }
.ramp.weight { background:linear-gradient(90deg,#0d0887,#7e03a8,#cc4778,#f89540,#f0f921); }
.ramp.date { background:linear-gradient(90deg,#440154,#3b528b,#21918c,#5ec962,#fde725); }
.figures { margin:8px 0 18px; font-variant-numeric:tabular-nums; }
.figures caption { text-align:left; color:var(--soft); font-size:13px; padding-bottom:4px; }
.figures th, .figures td { padding:5px 12px; text-align:right; border-bottom:1px solid var(--line); }
.figures th:first-child { text-align:left; }
.figures thead th { color:var(--soft); font-size:13px; }
.figures thead th[colspan] { text-align:center; }
.figures .total th, .figures .total td { border-top:2px solid var(--line); text-align:center; }
.figures .total th { text-align:left; }
@media (max-width:720px) { .scenes { grid-template-columns:1fr; }
  .commands li { grid-template-columns:1fr; } main { padding:18px 12px; } }
"""
