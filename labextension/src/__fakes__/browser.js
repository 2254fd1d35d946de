// What a browser has and jsdom does not, from Node's own implementation of the same standards.
const { TextDecoder, TextEncoder } = require('util');
const { ReadableStream } = require('stream/web');

global.TextDecoder = TextDecoder;
global.TextEncoder = TextEncoder;
global.ReadableStream = ReadableStream;
global.DragEvent = global.DragEvent ?? class DragEvent extends global.Event {};
