"use strict";
// Before anything is painted: the reader's choice, else what the system prefers.
function stored(name) {
  try {
    return localStorage.getItem(name);
  } catch {
    return null;
  }
}
function store(name, value) {
  try {
    localStorage.setItem(name, value);
  } catch {
    /* private windows have no storage */
  }
}
document.documentElement.dataset.theme =
  stored("hwnas-theme") || (matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light");
