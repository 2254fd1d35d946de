const path = require('path');

const { rspack } = require('@rspack/core');

/** What is added to the configuration of JupyterLab's builder, for a smaller bundle. */
module.exports = {
  module: {
    rules: [
      {
        test: /\.js$/,
        include: path.resolve(__dirname, 'lib'),
        use: [path.resolve(__dirname, 'jsxCalls.js')]
      },
      // Style sheets would else be in it as they are written, indented.
      {
        test: /\.css$/,
        enforce: 'pre',
        use: [{ loader: 'builtin:lightningcss-loader', options: { minify: true } }]
      }
    ]
  },
  optimization: {
    // What sections and tabs have in common is in it once, although it is little.
    splitChunks: { chunks: 'async', minSize: 2000 },
    minimizer: [
      new rspack.SwcJsMinimizerRspackPlugin({
        minimizerOptions: {
          compress: { ecma: 2022, passes: 4, unsafe_arrows: true },
          format: { comments: false }
        }
      })
    ]
  }
};
