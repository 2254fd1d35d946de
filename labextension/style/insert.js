/** Add style sheets to the page; they stay. */
export function insertStyles(...sheets) {
  const element = document.createElement('style');
  element.textContent = sheets.join('');
  document.head.append(element);
}
