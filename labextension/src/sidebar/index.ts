export * from './running';
export * from './tokens';
