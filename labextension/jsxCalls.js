/**
 * Calls `React.createElement` by a name that the minifier can shorten: a member of another module keeps its name
 * in each of the hundreds of calls.
 */
module.exports = source =>
  source.includes('React.createElement(')
    ? `const createElement = React.createElement;${source.replaceAll('React.createElement(', 'createElement(')}`
    : source;
