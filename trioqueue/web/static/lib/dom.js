// The one place that knows which library draws. Text always becomes text: nothing in this page sets
// innerHTML, so what a task carries cannot become markup.
export {
  html, render, useState, useEffect, useLayoutEffect, useRef, useMemo, useErrorBoundary,
} from "../vendor/preact-htm.js";
