// Dark and light: as the system has it, unless the button or the address says otherwise.
import { byId, forgetColours, setLocal } from "./state.js";

function systemTheme() {
  return matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light";
}

/** Show the page "dark" or "light". */
export function setTheme(name) {
  document.documentElement.classList.toggle("dark", name === "dark");
  setLocal("theme", name === systemTheme() ? null : name === "dark" ? "dark" : "light");
  forgetColours();
  dispatchEvent(new Event("resize")); // canvases are drawn in the new colours
}

/** Tie the button, and begin as the address or the system has it. */
export function startTheme() {
  byId("theme").onclick = () => setTheme(document.documentElement.classList.contains("dark") ? "light" : "dark");
  const asked = new URLSearchParams(location.hash.slice(1)).get("theme");
  setTheme(asked || systemTheme());
}
