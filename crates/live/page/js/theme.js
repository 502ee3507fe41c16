"use strict";
// Runs before the first paint, so that a chosen theme does not flash. The palette is the report's, where dark is a
// media rule: a chosen theme makes that rule always or never apply, and the colours are written down once.
function applyTheme(theme) {
  for (const sheet of document.styleSheets) {
    for (const rule of sheet.cssRules) {
      if (!(rule instanceof CSSMediaRule)) continue;
      rule.asWritten ??= rule.media.mediaText;
      if (!rule.asWritten.includes("prefers-color-scheme")) continue;
      rule.media.mediaText = { dark: "all", light: "not all" }[theme] ?? rule.asWritten;
    }
  }
}
try {
  applyTheme(localStorage.getItem("theme"));
} catch {
  // Without storage the theme is the system's.
}
