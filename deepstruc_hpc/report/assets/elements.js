"use strict";
// Elements of a page from texts, which are never markup, and numbers with their uncertainty.

function make(tag, attributes, ...children) {
  const element = document.createElement(tag);
  for (const [key, value] of Object.entries(attributes || {})) {
    if (key === "class") element.className = value; else if (key === "colour") element.style.setProperty("--colour", value); else if (key.startsWith("on")) element.addEventListener(key.slice(2), value); else if (value !== false && value !== null) element.setAttribute(key, value === true ? "" : value);
  }
  for (const child of children.flat(Infinity)) if (child !== null && child !== undefined && child !== "") element.append(child);
  return element;
}

// One digit of the uncertainty, and the value as far: 0.99007 ± 0.00009.
function withError(value, error) {
  const digits = Math.min(Math.max(-Math.floor(Math.log10(error)), 0), 6);
  return `${value.toFixed(digits)} ± ${error.toFixed(digits)}`;
}
