import eslint from '@eslint/js';
import jupyter from '@jupyter/eslint-plugin';
import reactHooks from 'eslint-plugin-react-hooks';
import tseslint from 'typescript-eslint';

/** The Jupyter plugin marks some of its rules as warnings only; here every one is an error. */
const jupyterRules = jupyter.configs.recommended.map(config => ({
  ...config,
  plugins: { jupyter, ...config.plugins },
  rules: Object.fromEntries(Object.keys(config.rules ?? {}).map(rule => [rule, 'error']))
}));

/** A sentence (two words, the first with a capital) that no translator has seen, wherever it stands. */
const UNTRANSLATED = [
  'CallExpression[callee.property.name=/^_(_|n|p|np)$/]',
  'Property[key.name="description"]',
  'NewExpression[callee.name="Token"]'
].join(', ');
const UNTRANSLATED_SENTENCES = [
  `:not(${UNTRANSLATED}) > Literal[value=/^[A-Z][a-z]*\\s+[A-Za-z%]/]`,
  'TemplateElement[value.cooked=/[A-Z]\\w+ [a-z]/]'
].map(selector => ({ selector, message: 'Show people what trans.__() returns.' }));

/** What activation itself calls; views are imported when they are first shown. */
const NEEDED_AT_ACTIVATION = [
  '../core',
  './api',
  './client',
  './commands',
  './panel',
  './running',
  './RunningStatus',
  './snippets',
  './storage',
  './watcher'
];

export default tseslint.config(
  { ignores: ['lib', 'node_modules', 'style/*.js', 'src/api/schema.d.ts', 'coverage'] },
  ...jupyterRules.filter(config => !(config.files ?? []).some(file => file.includes('.spec.'))),
  {
    files: ['src/**/*.ts', 'src/**/*.tsx'],
    extends: [eslint.configs.recommended, ...tseslint.configs.recommended],
    languageOptions: {
      parserOptions: { project: './tsconfig.test.json', tsconfigRootDir: import.meta.dirname }
    },
    plugins: { 'react-hooks': reactHooks },
    rules: {
      '@typescript-eslint/no-explicit-any': 'error',
      '@typescript-eslint/no-namespace': 'off',
      '@typescript-eslint/no-floating-promises': 'error',
      '@typescript-eslint/no-unused-vars': ['error', { args: 'none', varsIgnorePattern: '^_$' }],
      '@typescript-eslint/naming-convention': [
        'error',
        { selector: 'interface', format: ['PascalCase'], custom: { regex: '^I[A-Z]', match: true } }
      ],
      curly: ['error', 'all'],
      eqeqeq: 'error',
      'no-console': 'error',
      'no-restricted-syntax': ['error', ...UNTRANSLATED_SENTENCES],
      'react-hooks/rules-of-hooks': 'error',
      'react-hooks/exhaustive-deps': 'error',
      'jupyter/prefer-lazy-imports': ['error', { ignoreImports: NEEDED_AT_ACTIVATION }]
    }
  },
  {
    // Code for notebooks is the same in every language.
    files: ['src/!(core)/snippets.ts'],
    rules: { 'no-restricted-syntax': 'off' }
  },
  {
    files: ['src/**/__tests__/**'],
    rules: { 'jupyter/no-untranslated-string': 'off', 'no-restricted-syntax': 'off' }
  }
);
