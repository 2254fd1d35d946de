import { nullTranslator } from '@jupyterlab/translation';

import { checkRows, fromRows, toRows } from '../attributes';
import { EMPTY_FORM, fieldOfParam, toStoreRequest, validateStoreForm } from '../form';
import { highlight } from '../highlight';

const trans = nullTranslator.load('perijove');
const good = { ...EMPTY_FORM, name: 'Moons' };

describe('validateStoreForm', () => {
  it('asks for a name', () => {
    expect(validateStoreForm({ ...EMPTY_FORM, name: ' ' }, trans)).toHaveProperty('name');
    expect(validateStoreForm(good, trans)).toEqual({});
  });

  it('bounds the overlap by half of the chunk', () => {
    const form = { ...good, chunking: 'static' as const, chunkSize: '200', chunkOverlap: '101' };
    expect(Object.keys(validateStoreForm(form, trans))).toEqual(['chunkOverlap']);
    expect(validateStoreForm({ ...form, chunkOverlap: '100' }, trans)).toEqual({});
  });

  it('does not look at chunks that are not used', () => {
    expect(validateStoreForm({ ...good, chunkSize: 'x' }, trans)).toEqual({});
  });

  it.each(['0', '366', '1.5', 'soon'])('refuses to expire after %p days', expiryDays => {
    expect(validateStoreForm({ ...good, expiryDays }, trans)).toHaveProperty('expiryDays');
  });
});

describe('toStoreRequest', () => {
  it('leaves out what was left empty', () => {
    expect(toStoreRequest(good)).toEqual({ name: 'Moons' });
  });

  it('says everything that was chosen', () => {
    const form = {
      ...good,
      fileIds: ['file-1'],
      chunking: 'static' as const,
      chunkSize: '300',
      chunkOverlap: '50',
      expiryDays: '7'
    };
    expect(toStoreRequest(form)).toEqual({
      name: 'Moons',
      file_ids: ['file-1'],
      chunking_strategy: {
        type: 'static',
        static: { max_chunk_size_tokens: 300, chunk_overlap_tokens: 50 }
      },
      expires_after: { anchor: 'last_active_at', days: 7 }
    });
  });
});

describe('fieldOfParam', () => {
  it.each([
    ['chunking_strategy.static.max_chunk_size_tokens', 'chunkSize'],
    ['file_ids[3]', 'fileIds'],
    ['file_ids.0', 'fileIds'],
    ['expires_after.days', 'expiryDays'],
    ['metadata', null],
    [null, null]
  ])('%p is %p', (param, field) => {
    expect(fieldOfParam(param)).toBe(field);
  });
});

describe('highlight', () => {
  it('marks whole words that begin with a word of the query', () => {
    expect(highlight('The Moons of Jupiter', 'moon jupiter?')).toEqual([
      { text: 'The ', hit: false },
      { text: 'Moons', hit: true },
      { text: ' of ', hit: false },
      { text: 'Jupiter', hit: true }
    ]);
  });

  it('keeps the text as it is', () => {
    for (const query of ['', 'of', '(.*', 'moon (of', 'Ü']) {
      const text = 'The (.*) moon of Ü';
      expect(
        highlight(text, query)
          .map(piece => piece.text)
          .join('')
      ).toBe(text);
    }
  });

  it('marks short words only when they are names', () => {
    const marked = (query: string) =>
      highlight('The GPU of the moon Io', query)
        .filter(piece => piece.hit)
        .map(piece => piece.text);
    expect(marked('is the GPU on Io of')).toEqual(['GPU', 'Io']);
  });

  it('does not mark inside of a word', () => {
    expect(highlight('honeymoon', 'moon')).toEqual([{ text: 'honeymoon', hit: false }]);
  });
});

describe('attributes', () => {
  it('come back the same', () => {
    const attributes = {
      year: 1610,
      big: true,
      name: 'Io',
      text: '42',
      quoted: '"x"',
      odd: 'true'
    };
    expect(fromRows(toRows(attributes))).toEqual(attributes);
  });

  it.each([
    [[{ key: '', value: 'x' }]],
    [
      [
        { key: 'a', value: '1' },
        { key: ' a', value: '2' }
      ]
    ],
    [Array.from({ length: 17 }, (_, i) => ({ key: `k${i}`, value: '' }))],
    [[{ key: 'k'.repeat(65), value: '' }]],
    [[{ key: 'k', value: 'v'.repeat(513) }]]
  ])('are checked: %#', rows => {
    expect(checkRows(rows, trans)).not.toBeNull();
  });

  it('may have an empty line', () => {
    expect(checkRows([{ key: '', value: '' }], trans)).toBeNull();
    expect(fromRows([{ key: '', value: '' }])).toEqual({});
  });
});
