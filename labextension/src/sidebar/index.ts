export * from './objects';
export * from './running';
export * from './tokens';
