/** Jupyter's and Lumino's packages are ES modules; the ones that a test needs are compiled for it. */
const esModules = [
  '@jupyterlab/',
  '@lumino/',
  '@jupyter/',
  'lib0',
  'y-protocols',
  'yjs',
  'vscode-ws-jsonrpc',
  'nanoid'
].join('|');

module.exports = {
  testEnvironment: 'jsdom',
  testMatch: ['<rootDir>/src/**/__tests__/**/*.spec.ts?(x)'],
  moduleNameMapper: { '\\.(css|svg)$': '<rootDir>/src/__fakes__/asset.js' },
  setupFiles: ['<rootDir>/src/__fakes__/browser.js'],
  transform: { '\\.[jt]sx?$': 'babel-jest' },
  transformIgnorePatterns: [`/node_modules/(?!(${esModules}))`]
};
